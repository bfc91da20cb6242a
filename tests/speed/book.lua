-- Books two neighbouring seats of a random trip for a random rider. wrk runs it in each of its threads.
-- SEATS a trip has; WANTED seats a booking; each has an idempotency key of its own; of a hundred bookings FAULTY fail in their last step.
-- Requests are put together here and not by wrk.format, which takes longer: the load's time is the server's loss.
local tokens, trips = {}, {}
local number, sent = 0, 0
local started = os.time()
local in_order, threads = os.getenv("IN_ORDER") == "true", tonumber(os.getenv("THREADS"))
local seats, wanted, faulty = tonumber(os.getenv("SEATS")), tonumber(os.getenv("WANTED")), tonumber(os.getenv("FAULTY"))
local head = "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n" ..
    "Idempotency-Key: %d-%d-%d\r\n%sContent-Length: %d\r\n\r\n%s"
local fault = "Farebox-Fault: order_add_cancle.before=error\r\n"

function setup(thread)
    number = number + 1
    thread:set("seed", number)
end

local function lines(name)
    local list = {}
    for line in io.lines(os.getenv(name)) do list[#list + 1] = line end
    return list
end

function init(args)
    math.randomseed(seed * 7919 + os.time())
    tokens, trips = lines("TOKENS"), lines("TRIPS")
end

function request()
    sent = sent + 1
    local seat = math.random(1, seats - wanted + 1)
    if in_order then seat = ((sent - 1) * threads + seed - 1) * wanted % (seats - wanted) + 1 end
    local list = wanted == 1 and string.format('"%d"', seat) or string.format('"%d","%d"', seat, seat + 1)
    local body = string.format('{"trip_id":"%s","seats":[%s]}', trips[math.random(#trips)], list)
    local failing = math.random(100) <= faulty and fault or ""
    return string.format(head, tokens[math.random(#tokens)], started, seed, sent, failing, #body, body)
end
