-- Pays authorized orders, each once, under a key of its own: a line of PAYMENTS is an order, its rider's token and the authorization.
local own, next_line = {}, 0

function init(args)
    local threads = tonumber(os.getenv("THREADS"))
    for n, line in ipairs(lines("PAYMENTS")) do
        if n % threads == nth % threads then own[#own + 1] = line end
    end
end

function request()
    next_line = next_line % #own + 1
    local order, token, authorization = own[next_line]:match("(%S+) (%S+) (%S+)")
    return post("/v1/orders/" .. order .. "/pay", token, "pay-" .. order, string.format('{"authorization":"%s"}', authorization))
end
