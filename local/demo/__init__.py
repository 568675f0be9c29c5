"""The demo: an operation's tasks, from the request to the picture, on everything that stands.

client      submits as a client does, and says what happens
scenes      what is asked for: of the new operations more than one thing, of the others the catalogue's example
pictures    what the requests show: portraits, and what is drawn for masks
sheet       before, between and after, on one picture
bill        the table of the steps, and what the task would have cost
"""

from local.demo.pictures import PORTRAITS, identity_packet

__all__ = ["PORTRAITS", "identity_packet"]
