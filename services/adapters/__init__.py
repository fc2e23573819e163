"""Context from outside: news, search trends, on-chain numbers and a mood index, put on the topic ``context``.

Nothing here decides anything. A source that fails is said to be DOWN and the rest goes on; what it says is text and
numbers, bounded, judged (``judging``) and never run. ``ts_event`` of everything is when we had it.
"""
