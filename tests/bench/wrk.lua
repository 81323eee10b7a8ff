-- Sends the requests of a file in turn, and prints the result as one line of JSON.
-- Arguments: the file, which contains whole requests separated by NULs, and a prefix for
-- Idempotency-Keys. Each @KEY@ in a request is replaced by a new key. Everything else is prepared
-- beforehand: wrk runs on the machine that it measures.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

local texts, used, sent = {}, 0, 0
local key_format

function init(args)
  -- All keys have the same length, since the Content-Length is already computed.
  key_format = string.format("%s%02d-%%010d", args[2], number)
  local file = assert(io.open(args[1], "rb"))
  for text in (file:read("*a") .. "\0"):gmatch("(.-)%z") do
    local pieces = {}
    for piece in (text .. "@KEY@"):gmatch("(.-)@KEY@") do
      pieces[#pieces + 1] = piece
    end
    texts[#texts + 1] = pieces
  end
  file:close()
end

local function key()
  used = used + 1
  return string.format(key_format, used)
end

function request()
  sent = sent + 1
  local pieces = texts[sent % #texts + 1]
  if #pieces == 1 then
    return pieces[1]
  end
  local whole = {}
  for number, piece in ipairs(pieces) do
    if number > 1 then
      whole[#whole + 1] = key()
    end
    whole[#whole + 1] = piece
  end
  return table.concat(whole)
end

-- There is no response(): wrk counts each status above 399 by itself, without calling Lua.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "refused": %d, "broken": %d, "timeouts": %d, ' ..
    '"p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write, errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
