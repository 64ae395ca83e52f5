// A program that does nothing but be started.
process.stdout.write('nothing\n')
