-- For wrk: the same as verify.lua, at a pace that leaves the service about half idle, and is the same
-- for all: each connection waits up to a millisecond before each request. What is seen then is how long
-- an answer takes, rather than how many there can be.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(here .. "verify.lua")

function delay()
  return math.random(0, 1)
end
