-- What every row needs: who is asked, the users' ids, and the figures as a line of JSON.
-- A row defines `turn(n)`, which gives the n-th request, counted from 0.

base = os.getenv("PEER_BASE")
first_new = tonumber(os.getenv("PEER_FIRST_NEW"))
mail_domain = os.getenv("PEER_FILTER_DOMAIN")
remove_by_filter = os.getenv("PEER_REMOVE_BY_FILTER") == "1"
group = os.getenv("PEER_GROUP")
members = tonumber(os.getenv("PEER_MEMBERS"))
ahead = tonumber(os.getenv("PEER_AHEAD"))

ids = {}
for line in io.lines(os.getenv("PEER_IDS")) do
  ids[#ids + 1] = line
end

headers = {
  ["Authorization"] = "Bearer " .. os.getenv("PEER_TOKEN"),
  ["Content-Type"] = "application/scim+json",
}

-- The same users in every run: each pick looks like any other, and no state is shared.
math.randomseed(7)
function pick()
  return math.random(#ids)
end

function get(path)
  return wrk.format("GET", base .. path, headers)
end

function send(method, path, body)
  return wrk.format(method, base .. path, headers, body)
end

function user(number, family, id)
  local name = string.format("user%07d", number)
  return string.format(
    '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],%s"userName":"%s@example.com",'
      .. '"externalId":"00u%s","name":{"givenName":"Ann","familyName":"%s"},"displayName":"Ann %s",'
      .. '"emails":[{"value":"%s@mail.example.com","type":"work","primary":true}],'
      .. '"title":"Engineer","locale":"en-US","active":true}',
    id and '"id":"' .. id .. '",' or "", name, name, family, "Family" .. number, name)
end

-- wrk asks for one request that it never sends, to see how many are in it.
local next_turn = -1
function request()
  next_turn = next_turn + 1
  if next_turn == 0 then
    return get("/Users/" .. ids[1])
  end
  return turn(next_turn - 1)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"microseconds":%d,"bytes":%d,"status":%d,"timeout":%d,"socket":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, summary.bytes, errors.status, errors.timeout,
    errors.connect + errors.read + errors.write, latency:percentile(50), latency:percentile(99)))
end
