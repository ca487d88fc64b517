"""Tables of the report, as text, Markdown, HTML and LaTeX."""
