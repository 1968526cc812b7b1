"""Where potholes are and how big: what is made of the positions of the camera and of what it saw.

Read `locate.locate` first: it leads from what was seen to a place for each pothole.
"""
