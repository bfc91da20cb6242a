-- What the scripts share. Requests are put together here and not by wrk.format, which takes longer:
-- the load's time is the server's loss.
local number = 0

-- Threads are numbered from 1.
function setup(thread)
    number = number + 1
    thread:set("nth", number)
end

-- The lines of the file that this variable of the environment names.
function lines(name)
    local list = {}
    for line in io.lines(os.getenv(name)) do list[#list + 1] = line end
    return list
end

-- No two threads draw the same.
function shuffle()
    math.randomseed(nth * 7919 + os.time())
end

-- The riders' tokens and the trips, for a thread that draws from them.
function riders_and_trips()
    shuffle()
    return lines("TOKENS"), lines("TRIPS")
end

local head = "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n" ..
    "Idempotency-Key: %s\r\n%sContent-Length: %d\r\n\r\n%s"

-- A change under a key of its own; `more` are further headers, each with its end of line.
function post(path, token, key, body, more)
    return string.format(head, path, token, key, more or "", #body, body)
end
