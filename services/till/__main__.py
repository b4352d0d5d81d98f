from till.app import main

main()
