import '../shared/fonts.css';
