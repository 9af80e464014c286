dofile(os.getenv("PEER_LUA") .. "/common.lua")

function turn()
  return get("/Groups/" .. group)
end
