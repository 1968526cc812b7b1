"""Synthetic roads with known potholes are built once as a textured plane, then filmed by a moving camera.

    world.py      Road: everything drawn on the plane, as texture levels that the camera reads
    plane.py      where textures lie on the plane
    surface.py    asphalt, markings, roadside
    decoys.py     what looks like a pothole and is none
    pothole.py    outline, relief, light and parallax of one pothole
    scenery.py    sky and horizon, trees and poles beside the road, other vehicles
    camera.py     the pinhole camera above the plane
    film.py       render(): the frames and their truth
    output.py     a video with its truth as JSON, or a COCO folder
    noise.py      the random fields that all of it is made of

World coordinates are metres: x to the right of the road's axis, z forward. Colours are RGB.
"""
