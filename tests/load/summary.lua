-- What wrk found, as a line of JSON; microseconds.
function done(summary, latency, requests)
    local wrong = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
    io.write(string.format('{"requests":%d,"micros":%d,"p50":%d,"p99":%d,"refused":%d,"wrong":%d}\n', summary.requests,
        summary.duration, latency:percentile(50), latency:percentile(99), summary.errors.status, wrong))
end
