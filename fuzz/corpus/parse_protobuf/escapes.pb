
aðŸ˜€"\/
	ú¬
1*ja, b ,,c’d:https://a.example/<script>