from handdata.__main__ import main

main()
