"""What is known of an image besides its class: boxes, masks and words, as they are in the wild → canonical columns, and
moved along with the image."""
