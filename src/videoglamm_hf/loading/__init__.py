"""Model folders and Hub ids to models, quantised or not, and how much memory they need."""
