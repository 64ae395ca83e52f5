holdfast id                            # this install's device id, made the first time
holdfast gateway --port 0 &            # a gateway on a free port of this machine; it prints its ceiling
until holdfast devices 2>/dev/null     # who is known, and by which trust
do sleep 0.1; done
holdfast requests                      # who waits for an answer, and what they lack
holdfast token rotate                  # a new gateway token; registered devices stay registered
holdfast demo --fresh --children 2     # the main job, with real child processes
kill %1 && wait                        # the gateway takes its note away, and ends
