from handdata.cli import main

main()
