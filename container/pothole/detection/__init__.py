"""What finds potholes in a picture."""
