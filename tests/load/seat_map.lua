-- Reads the seat map of a random trip.
local trips = {}

function init(args)
    trips = lines("TRIPS")
end

function request()
    return "GET /v1/trips/" .. trips[math.random(#trips)] .. " HTTP/1.1\r\nHost: localhost\r\n\r\n"
end
