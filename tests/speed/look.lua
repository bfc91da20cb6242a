-- Reads the seat map of a random trip.
local trips = {}

function init(args)
    for line in io.lines(os.getenv("TRIPS")) do trips[#trips + 1] = line end
end

function request()
    return wrk.format("GET", "/v1/trips/" .. trips[math.random(#trips)])
end
