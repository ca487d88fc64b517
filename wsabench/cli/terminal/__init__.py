"""What commands print with: text and tables, and progress of long work."""
