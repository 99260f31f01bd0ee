"""The Lua scripts of the lease: what Redis does atomically. Each returns a list.

KEYS are the lease, which holds the token of the leader, and the highest term so far. ARGV[1] is the caller's token.

A Redis that is out of memory must still grant the lease: it needs a hundred bytes, which Redis mostly has allocated
already. From Redis 7 on (and in every Valkey) the flag `allow-oom` permits that. Older servers do not know the flag.
They refuse the first write of a script if it needs memory, but allow all writes after a first one that needs none. So
DEL or PEXPIRE comes before SET, on all servers.

Every client of Redis can write to the keys. A value that no ticker can have written is not a valid lease or term.
Lua's numbers are doubles, so terms stay below 2^53, up to which each is exact.
"""

from typing import Final

from clock.contract import MAX_COUNTER

# The prefix of each script, for servers that know it.
ALLOW_OOM: Final = "#!lua flags=allow-oom\n"

# The lease expires after this time unless it is renewed. So after a crash of the leader, failover takes about as long.
LEASE_MS: Final = 1_200

# The highest term. After it terms start again at 1, and the workers accept any term after 3 s without a valid tick. A
# term rises by one per takeover, so only a forged one is ever so high.
MAX_TERM: Final = MAX_COUNTER

# A term that was only received in a tick counts if it is at most this far above the stored and the held term. Every
# client of Redis can send ticks: without a limit, one forged tick could raise the terms to the highest, which leaves no
# room to rise. The received term matters after Redis was emptied or has evicted the term; then a new ticker knows no
# other. Terms rise by one per takeover, so a true one is below the limit unless there was a takeover a minute for two
# years. If it is above, the new term is too low, and the workers accept it after 3 s. To raise the terms to the
# highest, a forger needs nine thousand million takeovers.
MAX_RECEIVED_RISE: Final = 1_000_000

_COMMON: Final = f"""
local LEASE_MS, MAX_TERM, MAX_RECEIVED_RISE = {LEASE_MS}, {MAX_TERM}, {MAX_RECEIVED_RISE}

-- Returns the text of a key, or false; and 1 if the key has another type.
local function read(key)
  local found = redis.pcall('GET', key)
  if type(found) ~= 'table' then return found, 0 end
  if string.find(found.err, 'WRONGTYPE', 1, true) then return false, 1 end
  return redis.call('GET', key), 0
end

-- Returns the token of the leader, or false; the milliseconds until its lease expires; and 1 if the key exists but is
-- not a ticker's: it has another type, no expiry, or an expiry that no ticker sets.
local function holder()
  local token, foreign = read(KEYS[1])
  if not token then return false, 0, foreign end
  local left = redis.pcall('PTTL', KEYS[1])
  if type(left) ~= 'number' then return token, LEASE_MS, 0 end -- an older users' file does not permit PTTL
  if left < 0 or left > 10 * LEASE_MS then return false, 0, 1 end
  return token, left, 0
end

-- Returns the stored term, or 0; and 1 if the stored value is not a term.
local function stored_term()
  local text, foreign = read(KEYS[2])
  if not text then return 0, foreign end
  local term = #text <= 16 and string.find(text, '^%d+$') and tonumber(text)
  if term and term < MAX_TERM then return term, 0 end
  return 0, 1
end

local function store_term(term)
  redis.call('SET', KEYS[2], string.format('%.0f', term))
end

local function store_lease()
  redis.call('SET', KEYS[1], ARGV[1], 'PX', LEASE_MS)
end
"""

# ARGV: the token, the highest term held, the highest term received. Returns the new term, or 0 and the milliseconds
# until the present lease expires; then whether the lease key and the term key had values that no ticker has written. A
# lost reply does no harm: a caller that holds the lease already acquires it again, with another term.
ACQUIRE: Final = f"""{_COMMON}
local token, left, foreign_lease = holder()
if token and token ~= ARGV[1] then return {{0, left, 0, 0}} end
local stored, foreign_term = stored_term()
local known, received = math.max(stored, tonumber(ARGV[2])), tonumber(ARGV[3])
if received <= known + MAX_RECEIVED_RISE then known = math.max(known, received) end
if known >= MAX_TERM then known = 0 end
redis.call('DEL', KEYS[1])
store_term(known + 1)
store_lease()
return {{known + 1, 0, foreign_lease, foreign_term}}
"""

# ARGV: the token, its term, and by how much the term rises if the lease is acquired again. Returns the term, or 0 if
# the lease is lost; and whether it was acquired again. That happens if nobody holds it, because Redis was emptied, has
# evicted the key or somebody wrote to it. As long as no higher term is stored, nobody else has held it meanwhile. The
# GET of the term keeps it from being the least recently used key; if it was evicted, it is stored again.
RENEW: Final = f"""{_COMMON}
local token = holder()
local stored, term = stored_term(), tonumber(ARGV[2])
if token == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], LEASE_MS)
  if stored < term then store_term(term) end
  return {{term, 0}}
end
if token or stored > term then return {{0, 0}} end
term = math.min(term + tonumber(ARGV[3]), MAX_TERM)
redis.call('DEL', KEYS[1])
store_term(term)
store_lease()
return {{term, 1}}
"""

# Returns whether any ticker holds the lease.
CHECK: Final = f"""{_COMMON}
return {{holder() and 1 or 0}}
"""

# Deletes the lease if the caller holds it.
RELEASE: Final = f"""{_COMMON}
if read(KEYS[1]) ~= ARGV[1] then return {{0}} end
return {{redis.call('DEL', KEYS[1])}}
"""
