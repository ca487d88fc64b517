"""Changes of the native frame: noise, blur, fog, blocks, figures, a moving camera, lost frames."""

IMAGENET_C = "ImageNet-C (Hendrycks and Dietterich 2019)"
OWN_CHOICE = "own choice"
