"""Requests to addresses that users name (webhooks, images): never to anything that is ours.

guard   which addresses may be reached      fetch   one HTTP request to one of them
stream  one whose answer is read piece by piece
"""
