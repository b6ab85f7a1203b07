"""What a signed artifact says, whom it may come from, and whether a tree of files is what was signed."""
