-- Sends the requests of a file in turn, and tells the outcome as one line of JSON.
-- Arguments: the file, which holds whole requests with NULs between them, and a prefix for
-- Idempotency-Keys. Wherever a request says @KEY@ a key is put that was never used. All else is
-- put together beforehand: the driver runs on the machine that it measures.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

local texts, used, sent = {}, 0, 0
local key_format

function init(args)
  -- Of one length always, for the Content-Length is there already.
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

-- No response(): wrk itself counts every status above 399 without calling into Lua.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "refused": %d, "broken": %d, "timeouts": %d, ' ..
    '"p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write, errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
