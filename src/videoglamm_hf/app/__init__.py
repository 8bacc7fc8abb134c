"""The web app: ask about a video, see words and masks appear, correct them, take them away."""
