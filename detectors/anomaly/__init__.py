"""Single rows that are strange, too typical or repeated, and windows with more of them than there always are."""
