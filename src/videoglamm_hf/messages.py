"""What a conversation is made of."""

IMAGE_TOKEN = "<image>"
VIDEO_TOKEN = "<video>"
SEG_TOKEN = "[SEG]"
