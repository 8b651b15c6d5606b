"""Pusher: a blessed model becomes the next version that is served."""
