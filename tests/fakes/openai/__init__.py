"""A server on loopback that speaks OpenAI's chat completions, written from the documented wire format.

It holds requests to what the documentation asks of them, answers what a test has scripted, and can misbehave as
networks and providers do.
"""
