"""Files that hold weights: read safely, recognised, turned into networks."""
