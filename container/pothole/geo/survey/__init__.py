"""Many drives become one list of the potholes of a network of roads.

In the order of the work: `drives` reads reports, `match` says which pothole of one drive is which of another,
`records` tells of each what is known of it, `page` shows the list.
"""
