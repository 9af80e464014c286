dofile(os.getenv("PEER_LUA") .. "/common.lua")

function turn()
  return get("/Users?startIndex=1&count=50")
end
