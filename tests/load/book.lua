-- Books two neighbouring seats of a random trip for a random rider. wrk runs it in each of its
-- threads. SEATS a trip has; WANTED seats a booking; each has an idempotency key of its own; of a
-- hundred bookings FAULTY fail in their last step.
local tokens, trips, sent = {}, {}, 0
local started = os.time()
local in_order, threads = os.getenv("IN_ORDER") == "true", tonumber(os.getenv("THREADS"))
local seats, wanted, faulty = tonumber(os.getenv("SEATS")), tonumber(os.getenv("WANTED")), tonumber(os.getenv("FAULTY"))
local fault = "Farebox-Fault: order_add_cancle.before=error\r\n"

function init(args)
    tokens, trips = riders_and_trips()
end

function request()
    sent = sent + 1
    local seat = math.random(1, seats - wanted + 1)
    if in_order then seat = ((sent - 1) * threads + nth - 1) * wanted % (seats - wanted) + 1 end
    local list = wanted == 1 and string.format('"%d"', seat) or string.format('"%d","%d"', seat, seat + 1)
    local body = string.format('{"trip_id":"%s","seats":[%s]}', trips[math.random(#trips)], list)
    local failing = math.random(100) <= faulty and fault or nil
    return post("/v1/orders", tokens[math.random(#tokens)], string.format("%d-%d-%d", started, nth, sent), body, failing)
end
