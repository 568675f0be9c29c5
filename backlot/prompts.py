"""Backlot's default prompts."""

#: For the face detector. The shape is asked for by name; "JSON" has to occur for the provider's JSON mode.
FIND_FACES = (
    "Find the face of every person in this picture. For each face give one box that covers the face only, from the "
    "forehead to the chin and from cheek to cheek, without hair, hat or neck. Do not identify anybody. "
    'Answer with JSON only, in this form: {"faces": [{"bbox_2d": [x1, y1, x2, y2], "label": "face"}]}. '
    "Coordinates are whole numbers from 0 to 1000, relative to the picture's width and height. "
    'If there is no face, answer {"faces": []}.'
)

#: For SeeDream, when a request brings no prompt: image 1 is the masked picture, image 2 shows the identity.
SWAP_FACE = (
    "In image 1 a black ellipse hides a person's face. Fill exactly this area with the face of the person in image 2, "
    "so that anybody who knows this person recognises them: same bone structure, eyes, nose, mouth, skin and age. "
    "Take the head's angle, the direction of the gaze, the light, the colour grade and the grain from image 1. "
    "Let the skin meet its surroundings without a seam. Outside the black area change nothing: hair, head shape, "
    "clothes, pose and background stay as they are in image 1. No black may remain."
)
