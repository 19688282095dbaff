"""The command line: it reads arguments, calls what is below it, and shows what came of it.

Exit statuses, for every command:

===  =====================================================================================
  0  done; for ``run``, every account has an order in a final status
  1  something failed, or is not known, or is not final
  2  the input or the configuration is wrong; nothing was sent
130  interrupted with Ctrl-C (SIGINT)
143  ended with SIGTERM
===  =====================================================================================

``sandbox`` runs until it is told to stop, and so ends with 0 after either signal.
"""
