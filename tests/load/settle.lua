-- Pays authorized orders or cancels them (VERB), each once, under a key of its own: a line of
-- ORDERS is an order, its rider's token and the authorization.
local own, next_line, verb = {}, 0, os.getenv("VERB")

function init(args)
    local threads = tonumber(os.getenv("THREADS"))
    for n, line in ipairs(lines("ORDERS")) do
        if n % threads == nth % threads then own[#own + 1] = line end
    end
end

function request()
    next_line = next_line % #own + 1
    local order, token, authorization = own[next_line]:match("(%S+) (%S+) (%S+)")
    local body = verb == "pay" and string.format('{"authorization":"%s"}', authorization) or "{}"
    return post("/v1/orders/" .. order .. "/" .. verb, token, verb .. "-" .. order, body)
end
