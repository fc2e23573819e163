"""A server on loopback that speaks the wire formats of model providers, written from their documentation.

It holds requests to what the documentation asks of them, answers what a test has scripted, and can misbehave as
networks and providers do.
"""
