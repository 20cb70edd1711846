"""Which files are pictures, by their names. Loads nothing: the command line asks it before it does any work."""

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")  # of the files that `decode` reads, in lower case
OTHER_SUFFIXES = (
    ".avif",
    ".dng",
    ".gif",
    ".heic",
    ".heif",
    ".jp2",
    ".jpe",
    ".jxl",
    ".tif",
    ".tiff",
)  # that it does not
