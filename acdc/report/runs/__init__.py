"""The list of runs in a folder, as a page that is served to the browser of this machine."""
