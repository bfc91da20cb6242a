-- Pays authorized orders, each once, under a key of its own: a line of PAYMENTS is an order, its rider's token and the authorization.
local lines, number = {}, 0
local head = "POST /v1/orders/%s/pay HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n" ..
    "Idempotency-Key: pay-%s\r\nContent-Length: %d\r\n\r\n%s"

function setup(thread)
    number = number + 1
    thread:set("first", number)
end

function init(args)
    local n, threads = 0, tonumber(os.getenv("THREADS"))
    for line in io.lines(os.getenv("PAYMENTS")) do
        n = n + 1
        if n % threads == first % threads then lines[#lines + 1] = line end
    end
    next_line = 0
end

function request()
    next_line = next_line % #lines + 1
    local order, token, authorization = lines[next_line]:match("(%S+) (%S+) (%S+)")
    local body = string.format('{"authorization":"%s"}', authorization)
    return string.format(head, order, token, order, #body, body)
end
