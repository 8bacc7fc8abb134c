"""What the gallery shows, for who makes its pictures and who makes its page."""

# Kinds of questions, and what a reader is told of each.
KINDS = {
    "referring": "By colour and shape",
    "all_of": "All of a kind",
    "attribute": "By colour alone",
    "size": "The largest, the smallest",
    "absent": "What is not there",
    "caption": "Describe the video",
    "motion": "By motion: at chance with this model",
    "unseen_pairs": "A pair of colour and shape never seen in training",
}
