"""The lease's scripts: what Redis does in one step. Each returns a list.

KEYS: the lease, which holds the token of the leader; the highest term there was. ARGV[1] is the token of who asks.

Redis may be out of memory, and must give the lease all the same, for it needs a hundred bytes that it mostly has
already. From Redis 7 on (and in every Valkey) a script says so, by `allow-oom`. Older servers do not know the flag, and
refuse a script's first write if that needs memory, but nothing after a first write that needs none: so DEL or PEXPIRE
comes before SET, here and there.

Anyone with access to Redis can write to the keys. What no ticker can have written is nobody's lease and no term.
Numbers in Lua are doubles, so terms stay below 2^53, where each is exact.
"""

from typing import Final

# For servers that know it, before each script.
ALLOW_OOM: Final = "#!lua flags=allow-oom\n"

# How long the lease is held without being extended, in milliseconds. A ticker that dies is missed for as long.
LEASE_MS: Final = 1_200

# The highest term: the next take begins again at 1, and the workers take any term after 3 s without a valid tick. A
# term rises by one with each takeover, so only a forged one is ever so high.
MAX_TERM: Final = 2**53 - 1

# How far above both the stored and the held term a term may lie that was only heard, in a tick that anyone with access
# to Redis can have sent. Without a limit, one forged tick would lift the terms to the top, where there is no room to
# rise. What was heard matters when Redis was emptied or has evicted the term: then it is all that a new ticker knows.
# Terms rise by one with each takeover, so in that case a true one is below the limit, unless there was a takeover a
# minute for two years; and if it is not, the new term is too low, and the workers take it after 3 s. To lift the terms
# to the top, a forger needs nine thousand million takeovers.
NEAR: Final = 1_000_000

_COMMON: Final = f"""
local LEASE_MS, MAX_TERM, NEAR = {LEASE_MS}, {MAX_TERM}, {NEAR}

-- The text of a key, or false; and 1 if something else is there.
local function read(key)
  local found = redis.pcall('GET', key)
  if type(found) ~= 'table' then return found, 0 end
  if string.find(found.err, 'WRONGTYPE', 1, true) then return false, 1 end
  return redis.call('GET', key), 0
end

-- Who holds the lease and for how many milliseconds more, or false; and 1 if the key is there and no ticker's: it is of
-- another type, has no expiry, or one that no ticker sets.
local function holder()
  local token, foreign = read(KEYS[1])
  if not token then return false, 0, foreign end
  local left = redis.pcall('PTTL', KEYS[1])
  if type(left) ~= 'number' then return token, LEASE_MS, 0 end -- a user that may not ask, by an older users' file
  if left < 0 or left > 10 * LEASE_MS then return false, 0, 1 end
  return token, left, 0
end

-- The stored term, or 0; and 1 if what is stored is none.
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

# ARGV: the token, the term that was held, the term that was heard. Returns the new term, or 0 and how many milliseconds
# another holds it for; then whether the lease key and the term key held what no ticker had written. An answer that was
# lost is no matter: who holds it already gets it again, with another term.
TAKE: Final = f"""{_COMMON}
local token, left, foreign_lease = holder()
if token and token ~= ARGV[1] then return {{0, left, 0, 0}} end
local stored, foreign_term = stored_term()
local known, heard = math.max(stored, tonumber(ARGV[2])), tonumber(ARGV[3])
if heard <= known + NEAR then known = math.max(known, heard) end
if known >= MAX_TERM then known = 0 end
redis.call('DEL', KEYS[1])
store_term(known + 1)
store_lease()
return {{known + 1, 0, foreign_lease, foreign_term}}
"""

# ARGV: the token, its term, by how much the term is to rise if the lease is taken anew. Returns the term, or 0 if the
# lease is lost; and whether it was taken anew. That is where nobody holds it, because Redis was emptied, evicted the
# key or was written to: as long as no higher term is stored, nobody else has held it meanwhile. A GET of the term keeps
# it from being the least recently used, and if it was evicted it is stored again.
EXTEND: Final = f"""{_COMMON}
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

# Returns whether anybody holds it.
LOOK: Final = f"""{_COMMON}
return {{holder() and 1 or 0}}
"""

RELEASE: Final = f"""{_COMMON}
if read(KEYS[1]) ~= ARGV[1] then return {{0}} end
return {{redis.call('DEL', KEYS[1])}}
"""
