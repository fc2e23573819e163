"""Market data of OKX as ticks: subscribe, translate, keep books and bars whole, write to the log.

Pure parts: ``subscriptions`` (what is asked for), ``board`` (which channel delivers), ``ledger`` (what was written
once), ``translate`` (frames into ticks and things to do), ``tail`` (where the log stopped). Parts that wait: ``rest``,
``wire`` (ccxt's WebSocket client), ``link`` (one connection kept up), ``gateway`` (all of it). Only ``rest`` and
``wire`` import ccxt, which takes seconds. Leaves out everything private: keys, orders, accounts.
"""
