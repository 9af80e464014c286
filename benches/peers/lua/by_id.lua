dofile(os.getenv("PEER_LUA") .. "/common.lua")

function turn()
  return get("/Users/" .. ids[pick()])
end
