"""Everything that ticker and worker use of the internals of redis-py and channels-redis.

redis-py's documented API (clients, commands, exceptions) is used outside too; channels-redis is used here alone.
tests/project/libraries/test_internals.py pins each name that is used here, and says where to look when one is missing.
"""
