"""What a person looks at: overlays, legends, contact sheets, videos.

* Drawn by Pillow, with the font that it carries, so that pictures look the same everywhere.
* Object i has the same colour in every picture, legend and answer, however many objects there are.
* Small clips are enlarged before anything is drawn on them, so that contours and text stay crisp.
* Legends stand below the frame, never on it: nothing of the video is covered.
"""
