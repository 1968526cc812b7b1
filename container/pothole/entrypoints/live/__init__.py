"""The live API looks at one picture at a time: one that is sent, one in a bucket, or one on the web.

The server has it, and so has a Lambda function behind an API Gateway. So the modules of this room need the
standard library of Python alone, and nothing else of this package.
"""
